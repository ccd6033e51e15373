#!/usr/bin/python3 -IS
"""The health check of the container: exits with 0 unless the appliance says that it fails.

Where `web.listen` has another port, APPLIANCE_HEALTH_URL says where to ask.
"""

import http.client
import json
import os
import ssl
import sys
from urllib.parse import urlsplit

URL = os.environ.get("APPLIANCE_HEALTH_URL", "https://127.0.0.1:8443/api/v1/health")
SECONDS = 8


def main() -> int:
    """Ask once; print what the answer says."""
    at = urlsplit(URL)
    if at.scheme == "https":
        # It asks itself: there is nobody between, and the certificate is of the operator's choice.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(at.netloc, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(at.netloc, timeout=SECONDS)
    try:
        connection.request("GET", at.path)
        answer = connection.getresponse()
        report = dict(json.loads(answer.read()))
    except (OSError, TypeError, ValueError, http.client.HTTPException) as error:
        print(f"{URL}: {error}")
        return 1
    print(f"{report.get('status', answer.status)}: {report.get('message', '')}")
    return int(answer.status != http.client.OK)


if __name__ == "__main__":
    sys.exit(main())
