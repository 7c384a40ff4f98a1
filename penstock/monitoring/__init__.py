"""What a deployed model sees and says, measured: plain values and mathematics."""
