"""Changes to one resource: JSON Patch, XML Patch and FHIRPath Patch (FHIR R4, RESTful API, 3.1.0.9 patch)."""
