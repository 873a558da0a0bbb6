"""What every page goes through: who visits, in which language, and how what is typed or listed is handled."""
