"""Alipay behind the port, through `python-alipay-sdk` and its open gateway (RSA2, JSON, business code and sub code).

Sources: Alipay's pages about `alipay.trade.refund`, `alipay.trade.fastpay.refund.query`, the common error codes and the
asynchronous notification. Three rules are easy to get wrong: code 10000 does not mean that money moved; `refund_fee` is
the sum of all refunds of the trade; one `out_request_no` is paid once, however often it is sent.
"""
