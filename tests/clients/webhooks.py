"""WEBHOOKS: requests of the tests are accepted by the library of Standard Webhooks, and changed ones are not."""

import json
import os
import pathlib
import subprocess
import tempfile

from standardwebhooks import Webhook, WebhookVerificationError

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def captured():
    """Runs the tests of batches, and returns their requests with a signature."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "requests.jsonl"
        environment = {**os.environ, "WEBHOOK_CAPTURE_FILE": str(path)}
        tests = ["cargo", "test", "--locked", "--quiet", "--test", "it", "destinations::webhook::batches"]
        subprocess.run(tests, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        requests = [json.loads(line) for line in path.read_text().splitlines()]
    return [request for request in requests if "webhook-signature" in request["headers"]]


def is_accepted(body, headers):
    """Whether the library accepts a request."""
    try:
        Webhook(SECRET).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


if __name__ == "__main__":
    requests = captured()
    assert len(requests) > 40, len(requests)
    for request in requests:
        headers, body = request["headers"], request["body"]
        assert is_accepted(body, headers), headers
        assert not is_accepted(body + " ", headers), headers
        assert not is_accepted(body, {**headers, "webhook-id": headers["webhook-id"] + "0"}), headers
    print(f"gate WEBHOOKS: {len(requests)} signatures are accepted, and none of a changed body or id")
