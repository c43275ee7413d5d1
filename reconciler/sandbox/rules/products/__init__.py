"""Rules of the products that own flags: experiments, holdouts, scheduled changes."""
