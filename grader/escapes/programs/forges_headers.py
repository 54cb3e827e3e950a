# claim: asks in another student's name, by headers, keys, cookies and paths
# expect: ok
# service: asked
import http.client
import json

from attack import escaped

body = json.dumps({"model": "gpt-4.1-nano-2025-04-14", "user": "ada", "temperature": 0,
                   "messages": [{"role": "user", "content": "hello"}]})  # fmt: skip
plain = {"Content-Type": "application/json", "Authorization": "Bearer run"}
forged = {**plain, "Authorization": "Bearer ada", "X-Run-Id": "ada", "X-Forwarded-For": "10.0.0.1",
          "X-Real-IP": "10.0.0.1", "X-Student": "ada", "Cookie": "run=ada", "Host": "ada.local",
          "X-Original-URL": "/admin", "X-HTTP-Method-Override": "DELETE", "Forwarded": "for=ada",
          "OpenAI-Organization": "ada", "OpenAI-Project": "ada", "X-Finegrade-Run": "ada",
          "Idempotency-Key": "1", "Via": "1.1 grader"}  # fmt: skip
answers = []
for headers in (plain, forged, plain):
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
    connection.request("POST", "/v1/chat/completions", body, headers)
    response = connection.getresponse()
    answers.append((response.status, response.read()))
    print(answers[-1][0], answers[-1][1][:200], sorted(response.getheaders())[:20])
    connection.close()
if any(b"ada" in content.lower() for _, content in answers):
    escaped("the service took it for ada")
if len({status for status, _ in answers}) > 1:
    escaped("headers decide on the answer")
