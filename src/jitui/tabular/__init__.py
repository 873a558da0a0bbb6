"""Other people's files: encodings, delimiters, rows and cells, read exactly or refused with a reason.

It lies beside money and ids, because imports, statements of payment providers and histories all read through it:
outside it nothing turns the text of a file into a number, a date or an id.
"""
