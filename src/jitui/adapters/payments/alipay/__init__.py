"""Alipay behind the port, through `python-alipay-sdk` and its open gateway (RSA2, JSON, business code and sub code).

What its answers mean is from the provider's pages of `alipay.trade.refund`, `alipay.trade.fastpay.refund.query`, the
common error codes and the asynchronous notification. Three of them are easy to get wrong: code 10000 is no success,
`refund_fee` is all that the trade was ever refunded, and one `out_request_no` is paid once, however often it comes.
"""
