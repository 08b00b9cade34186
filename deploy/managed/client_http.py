"""Asks a model over HTTP.

usage: client_http.py ADDRESS TOKEN MODEL[/versions/N|/labels/L]     (address: http://host[:port])
"""

import json
import sys
import urllib.request

address, token, model = sys.argv[1:]
request = urllib.request.Request(
    f"{address}/v1/models/{model}:predict",
    data=json.dumps({"signature_name": "serving_default", "instances": [1.0, 2.0]}).encode(),
    headers={"Authorization": token},
)
with urllib.request.urlopen(request) as answer:
    print(json.load(answer)["predictions"])
