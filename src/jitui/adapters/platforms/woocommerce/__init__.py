"""WooCommerce behind both ports, by its REST API v3; never met for real, tried against a server of its documented form.

A refund there is saved first, then the gateway is asked, and a gateway's refusal deletes it again and answers 500. So a
500 says little, and a refund whose gateway has not answered is neither paid nor unpaid.
"""
