"""The console: server-rendered pages for buyers and merchants, on the same application functions as the API.

docs/how-to/add-a-screen.md says how a screen is made.
"""
