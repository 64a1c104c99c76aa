"""web: the console of one or several detectors in a browser, and their REST interfaces."""
