"""The registered submissions as they are listed."""

from __future__ import annotations

#: What is shown of each, in this order; a public JSON.
FIELDS = ("name", "version", "type", "team", "baseline", "state", "kind", "profile", "serves", "container", "entry_point",
          "digest", "source")
