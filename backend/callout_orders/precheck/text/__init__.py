"""What can be read out of free text: people, telephones, addresses, serials, keywords. All pure."""
