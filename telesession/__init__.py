"""Holds the consultation workflow and its live media, tied to Encounter, Appointment and ServiceRequest."""
