"""The tests of Nhịp Cầu; the folders mirror the packages."""
