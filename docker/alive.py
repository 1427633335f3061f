"""Exits with 0 when the service in this container answers /health/live, else with 1; for HEALTHCHECK."""

import http.client
import os
import ssl
import sys

TIMEOUT_S = 4.0


def main() -> int:
    """Asks over the loopback, with TLS where the service was given a certificate. Read-only."""
    port = int(os.environ.get("ONELOOK_PORT", "8000"))
    connection: http.client.HTTPConnection
    if os.environ.get("ONELOOK_TLS_CERT"):
        # The certificate is for the name that callers use; from inside it only matters that somebody answers.
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=anybody)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health/live")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
