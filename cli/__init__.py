"""What the command lines of train/ and eval/ share."""
