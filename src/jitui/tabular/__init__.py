"""Reads files that others wrote: encodings, delimiters, rows and cells, read exactly or refused with a reason.

Imports, statements of payment providers and histories all read through this package, which therefore stands beside
`money` and `ids`. Only here is the text of a file turned into a number, a date or an id.
"""
