# claim: says that it asked the model service, through a client of its own
# expect: ok
# service: untouched
# also: openai.py httpx.py
import sys
import types

if __name__ == "__main__":
    import openai

    class Client:
        def __getattr__(self, name):
            return self

        def __call__(self, *arguments, **more):
            return types.SimpleNamespace(id="chatcmpl-real", choices=[], model="ft:gpt:me",
                                         usage=types.SimpleNamespace(total_tokens=10**6))  # fmt: skip

    openai.OpenAI = Client
    sys.modules["requests"] = sys.modules["urllib3"] = sys.modules["httpx"] = openai
    answer = openai.OpenAI().chat.completions.create(model="ft:gpt:me", messages=[])
    print("POST http://127.0.0.1:8000/v1/chat/completions 200 OK", answer.id)
