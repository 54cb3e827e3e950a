"""Rules on one example: chat messages, preference, completion, question and answer."""

from __future__ import annotations

from typing import Final

from grader.core.nouns import Severity
from grader.training_data.rules.rule import COOKBOOK, GUIDE, OURS, SERVICE, SPECIFICATION, Rule

CHAT_RULES: Final = (
    Rule(
        "JSL201",
        "Each example has a list of messages",
        "A chat example is a conversation: without messages there is nothing to learn from.",
        'Give the line "messages": a list with at least one message.',
        COOKBOOK,
        service="is missing key 'messages'",
    ),
    Rule(
        "JSL202",
        "An example has no keys but messages, tools, parallel_tool_calls and functions",
        "The service refuses a file with any other key beside the messages.",
        "Drop the key, or keep notes such as ids in a file of their own. `finegrade data fix` "
        "drops keys that are null.",
        SPECIFICATION,
        service='contains an extra "…"',
    ),
    Rule(
        "JSL203",
        "Each message is an object with a role",
        "The role says who speaks, and so what the model learns to say itself.",
        'Give each message "role" and "content".',
        SERVICE,
        service="Discriminator 'role' is missing in value",
    ),
    Rule(
        "JSL204",
        "Each role is system, user, assistant, tool or function",
        "A message of another role cannot be placed in the conversation.",
        'Say "assistant" for the model (not "bot" or "model"), "user" for the person (not '
        '"human") and "system" for instructions (not "developer"); or run `finegrade data fix`.',
        SPECIFICATION,
    ),
    Rule(
        "JSL205",
        "Each message has content, unless it calls a tool",
        "A message that says nothing teaches nothing; only a call may stand without text.",
        'Give the message "content".',
        SPECIFICATION,
    ),
    Rule(
        "JSL206",
        "A message has only the keys of its role",
        "The service refuses messages with other keys.",
        "Keep role, content and name; weight, tool_calls, function_call and refusal in assistant "
        "messages; tool_call_id in tool messages. `finegrade data fix` drops keys that are null, "
        "and the empty annotations of a client's model_dump().",
        SPECIFICATION,
    ),
    Rule(
        "JSL207",
        "Content is text, or a list of typed parts",
        "Numbers, objects and lists of plain text are refused.",
        'Write text in quotes, or parts such as {"type": "text", "text": "..."}.',
        SPECIFICATION,
    ),
    Rule(
        "JSL208",
        "The parts of a message are of a type that its role may use",
        "A model can be taught to write text and refusals, and to read text and images.",
        "Use text and image_url parts for the user, text and refusal parts for the assistant, and "
        "text parts for all others.",
        SPECIFICATION,
    ),
    Rule(
        "JSL209",
        "Each example has a message of the assistant",
        "The assistant's messages are what is learned.",
        "Add the answer as an assistant message.",
        COOKBOOK,
    ),
    Rule(
        "JSL210",
        "Each example ends with a message of the assistant",
        "What comes after the last answer is never learned, and usually means a lost answer.",
        "Add the answer that is missing, or drop what follows the last one.",
        OURS,
    ),
    Rule(
        "JSL211",
        "No answer of the assistant is empty",
        "An empty answer teaches the model to say nothing.",
        "Write the answer, or drop the example.",
        COOKBOOK,
    ),
    Rule(
        "JSL212",
        "A weight is the integer 0 or 1, on a message of the assistant",
        "Weight 0 keeps an answer out of the training; nothing else can be weighed.",
        'Write "weight": 0 or "weight": 1, without quotes, in assistant messages only.',
        SPECIFICATION,
    ),
    Rule(
        "JSL213",
        "At least one answer of each example counts",
        "With all weights 0 the example trains nothing and is still paid for.",
        "Give the answer that is to be learned weight 1, or drop the example.",
        OURS,
    ),
    Rule(
        "JSL214",
        "A name is a text of at most 64 characters",
        "Longer names and other values are refused by the chat service.",
        'Shorten "name", or drop it: few examples need it.',
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL215",
        "Each example has a message of the user",
        "Without a question the model learns to speak unasked.",
        "Add what the user says before the answer.",
        COOKBOOK,
        Severity.WARNING,
    ),
    Rule(
        "JSL216",
        "Each example has a system message",
        "The instructions of training and of use should be the same; most uses have some.",
        "Begin each example with the system message that you will use later.",
        COOKBOOK,
        Severity.WARNING,
    ),
    Rule(
        "JSL217",
        "The system message comes first, and once",
        "Models are used with one system message at the start; others dilute what it means.",
        "Join the system messages into one at the start.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL218",
        "User and assistant take turns",
        "Two messages of one speaker in a row are often one message cut in two, or a lost one.",
        "Join them, or add the one between.",
        GUIDE,
        Severity.WARNING,
    ),
    Rule(
        "JSL219",
        "parallel_tool_calls is true or false",
        "Any other value is refused.",
        'Write "parallel_tool_calls": true or false, without quotes.',
        SPECIFICATION,
    ),
    Rule(
        "JSL220",
        "No message of the system or the user is empty",
        "An empty question or instruction is usually a hole in the source of the data.",
        "Fill it in, or drop the message.",
        OURS,
        Severity.WARNING,
    ),
)

TOOL_RULES: Final = (
    Rule(
        "JSL301",
        "A tool call has an id, the type function, and a function with a name",
        "The answer to a call is found by its id, and the call by its name.",
        'Write {"id": "call_1", "type": "function", "function": {"name": ..., "arguments": ...}}.',
        SPECIFICATION,
    ),
    Rule(
        "JSL302",
        "The arguments of a call are a text that holds a JSON object",
        "Models write arguments as text; an object in their place is refused. A text that was "
        "written as JSON twice, a list or null teaches calls that no program can read.",
        'Write "arguments": json.dumps(arguments), once, of an object; {} for no arguments.',
        SPECIFICATION,
    ),
    Rule(
        "JSL303",
        "A message of a tool answers an earlier call",
        "A result without its call cannot be placed.",
        'Give the tool message the "tool_call_id" of the call that it answers.',
        OURS,
    ),
    Rule(
        "JSL304",
        "Each tool call is answered, unless it is the last message",
        "The chat service refuses a conversation that goes on without the result of a call.",
        "Add a tool message with the call's id before the next message.",
        OURS,
    ),
    Rule(
        "JSL305",
        "tools is a list of at most 128 function definitions",
        "The model is trained on the definitions as well; broken ones are refused.",
        'Write each as {"type": "function", "function": {"name": ..., "parameters": {...}}}, the '
        "parameters as JSON Schema. `finegrade data fix` drops keys that are null.",
        SPECIFICATION,
    ),
    Rule(
        "JSL306",
        "Each function that is called is declared in tools",
        "A model that learns to call what is not declared will invent functions.",
        'Declare the function in the example\'s "tools", or fix its name in the call.',
        OURS,
    ),
    Rule(
        "JSL307",
        "Calls are written with tools, not with the legacy functions",
        "functions and function_call still work and are on their way out.",
        "Write tools, tool_calls and tool messages.",
        OURS,
        Severity.WARNING,
    ),
    Rule(
        "JSL308",
        "The content of a message of a tool is plain text",
        "The service has refused results of tools that are lists of parts, though the chat service "
        "takes them.",
        "Write the text itself as content.",
        SERVICE,
        Severity.WARNING,
        service='key "content": Input should be a valid string',
    ),
)

IMAGE_RULES: Final = (
    Rule(
        "JSL321",
        "Only messages of the user hold images",
        "Models read images and cannot be taught to write them.",
        "Move the image into a user message.",
        GUIDE,
    ),
    Rule(
        "JSL322",
        "An example holds at most 10 images",
        "Examples with more are refused.",
        "Keep the images that the answer needs.",
        GUIDE,
    ),
    Rule(
        "JSL323",
        "An image is a URL, or a JPEG, PNG or WEBP in base64",
        "Other formats and other ways to name an image are refused.",
        'Write "https://..." or "data:image/png;base64,...".',
        GUIDE,
    ),
    Rule(
        "JSL324",
        "An image has at most 10 MB",
        "Larger images are refused.",
        "Scale the image down: detail beyond 2048 pixels is not seen.",
        GUIDE,
    ),
    Rule(
        "JSL325",
        "An image is in RGB or RGBA",
        "Grey, palette and CMYK images are refused.",
        "Convert the image to RGB.",
        GUIDE,
    ),
    Rule(
        "JSL326",
        "At most 50,000 examples hold images",
        "Files with more are refused.",
        "Keep the best 50,000.",
        GUIDE,
    ),
    Rule(
        "JSL327",
        "No image shows people, faces or CAPTCHAs",
        "The service skips such images without saying so, so that you train on fewer examples than "
        "you see. No one can tell this from the file: look at the images.",
        "Take examples with people, faces, children or CAPTCHAs out.",
        GUIDE,
        Severity.NOTE,
    ),
)


PREFERENCE_RULES: Final = (
    Rule(
        "JSL401",
        "A preference example has input, preferred_output and non_preferred_output",
        "Preference training compares two answers to one input; other keys are refused.",
        "Use exactly these three keys. preferred_completion and non_preferred_completion are the "
        "names of an earlier draft: rename them.",
        GUIDE,
    ),
    Rule(
        "JSL402",
        "The input of a preference example is an object with messages",
        "The input is a conversation, as in chat.",
        'Write "input": {"messages": [...]}.',
        GUIDE,
    ),
    Rule(
        "JSL403",
        "Each output is exactly one message of the assistant, with text",
        "Two single answers are compared, not conversations or tool calls.",
        'Write "preferred_output": [{"role": "assistant", "content": "..."}].',
        SPECIFICATION,
    ),
    Rule(
        "JSL404",
        "The input does not end with the assistant",
        "The outputs are the assistant's next message; it cannot speak twice.",
        "End the input with the message that the outputs answer.",
        OURS,
    ),
    Rule(
        "JSL405",
        "The two outputs differ",
        "Two equal outputs express no preference.",
        "Write a worse second output, or drop the example.",
        OURS,
        Severity.WARNING,
    ),
)

COMPLETION_RULES: Final = (
    Rule(
        "JSL421",
        "An example has the texts prompt and completion, and nothing else",
        "Other values and keys are refused.",
        'Write {"prompt": "...", "completion": "..."}.',
        SPECIFICATION,
    ),
    Rule(
        "JSL422",
        "No completion is empty",
        "An empty completion teaches the model to say nothing.",
        "Write the completion, or drop the example.",
        OURS,
    ),
    Rule(
        "JSL423",
        "The data is in the chat format",
        "Prompt and completion train only babbage-002 and davinci-002, which are no longer served.",
        "Run `finegrade data convert FILE --to chat`.",
        SPECIFICATION,
        Severity.WARNING,
    ),
)

QA_RULES: Final = (
    Rule(
        "JSL431",
        "An example has the texts question and answer",
        "Both are needed, as text, to make a conversation of them.",
        'Write {"question": "...", "answer": "..."}.',
        OURS,
    ),
    Rule(
        "JSL432",
        "Neither question nor answer is empty",
        "An empty text teaches nothing.",
        "Fill it in, or drop the example.",
        OURS,
    ),
)
