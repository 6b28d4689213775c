"""Where requests come in: chat accounts, mail, web form; raw messages, conversations, files before there is an order."""
