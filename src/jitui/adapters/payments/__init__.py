"""Payment providers, each behind the port `jitui.aftersales.provider`; their words stop here."""
