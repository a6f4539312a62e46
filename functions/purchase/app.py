"""Buying credits over HTTP. For now: what can be bought."""

from autocredits.adapters.production import open_catalog
from autocredits.edge import http, views

app = http.resolver()
handler = http.serve(app)


@app.get("/v1/packages")
def packages() -> http.Answer:
    """The packages on sale."""
    http.read_request(app).admit()
    return http.answer(200, views.packages_view(open_catalog().packages))
