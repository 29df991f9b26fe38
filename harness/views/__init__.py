"""What can be shown of a tournament, as plain frozen values and their readers. Knows no screen and no formula."""
