"""The command `onelook`: one file for each group of verbs."""
