"""What it builds is a function, not a module."""


def build_program():
    return lambda question: "euro"
