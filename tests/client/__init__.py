"""Tests of `jitui.client`."""
