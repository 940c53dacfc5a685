"""What the pages for users say is true: their code runs, their site builds."""
