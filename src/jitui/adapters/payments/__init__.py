"""Payment providers, each behind the port `jitui.aftersales.provider`; their terms are translated here."""
