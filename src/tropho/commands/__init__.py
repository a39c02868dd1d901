"""Commands beside the stages: status, leaderboard, predictions for any image."""
