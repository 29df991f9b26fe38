"""The report of a round as one self-contained HTML file: no request, no font, no library; readable without scripts.

Jinja2 fills the page with autoescape on, and every string passes ``untrusted_text`` first. Charts are SVG made here, images are
data URIs, and a content security policy allows our own script and style by their digests and nothing else: text of a stranger
stays text even where an escape was forgotten.
"""
