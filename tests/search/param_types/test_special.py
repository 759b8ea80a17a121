def test_a_position_is_latitude_and_longitude(cells):
    location = {"resourceType": "Location", "position": {"longitude": 105.85, "latitude": 21}}
    assert cells(location, "near") == {(0, 21.0, 105.85)}
