"""What a check is: its registration, its context and its verdict."""
