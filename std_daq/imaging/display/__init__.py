"""Images for people who look at them: reduced to the size of a window, in colours, with what is wrong in them."""
