"""Applications over the commands: nothing imports them."""
