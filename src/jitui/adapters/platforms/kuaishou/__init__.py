"""Kuaishou as a platform that owns refund requests, by its open gateway; never met for real.

The merchant answers a request there, and the platform pays after an approval
(`docs/decisions/0054-the-platform-owns-the-request.md`).
"""
