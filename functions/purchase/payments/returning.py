"""Where a buyer goes after paying."""

from urllib.parse import quote, urlsplit


def back(url: str, purchase_id: str) -> str:
    """The address with `purchase_id` in its query. Braces are escaped: Stripe fills in what stands between them."""
    parts = urlsplit(url.replace("{", "%7B").replace("}", "%7D"))
    query = f"{parts.query}&" if parts.query else ""
    return parts._replace(query=f"{query}purchase_id={quote(purchase_id, safe='')}").geturl()
