"""Commerce platforms, each behind the ports `jitui.aftersales.platform` and `jitui.aftersales.provider`."""
