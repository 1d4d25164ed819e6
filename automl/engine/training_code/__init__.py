"""What a trial did, as a script that needs nothing of ours: `script.training_scripts` writes it."""
