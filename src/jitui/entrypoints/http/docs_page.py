"""The readable description: one static page, no script, nothing from elsewhere."""

CONTENT_SECURITY_POLICY = "default-src 'none'"


def docs_page() -> str:
    return ""


def problems_page() -> str:
    return ""
