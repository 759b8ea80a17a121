"""The classes of resources that the rules of access speak of: each type of R4 is in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

ResourceClass = Literal[
    "master", "definition", "identity", "record", "imaging", "work", "task", "consent", "money", "trail", "audit",
    "number", "other",
]  # fmt: skip

MEANING: Mapping[ResourceClass, str] = {
    "master": "Who and what there is: facilities, staff, places, services, medicines",
    "definition": "Definitions: code systems, value sets, profiles, questionnaires, measures",
    "identity": "Who a patient is, and who belongs to them",
    "record": "The medical record",
    "imaging": "Images and the reports on them",
    "work": "Requests, appointments, messages",
    "task": "Tasks",
    "consent": "What a patient has agreed to or refused",
    "money": "Accounts, insurance, claims",
    "trail": "Where data came from, never changed",
    "audit": "Who did what, written by the server alone",
    "number": "Indicators; those about one patient are not for authorities",
    "other": "Everything else",
}

TYPES: Mapping[ResourceClass, str] = {
    "master": (
        "BiologicallyDerivedProduct CatalogEntry DeviceDefinition Endpoint HealthcareService InsurancePlan Location"
        " Medication MedicationKnowledge MedicinalProduct MedicinalProductAuthorization"
        " MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient"
        " MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged"
        " MedicinalProductPharmaceutical MedicinalProductUndesirableEffect Organization OrganizationAffiliation"
        " Practitioner PractitionerRole Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein"
        " SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification VerificationResult"
    ),
    "definition": (
        "ActivityDefinition CapabilityStatement ChargeItemDefinition CodeSystem CompartmentDefinition ConceptMap"
        " EffectEvidenceSynthesis EventDefinition Evidence EvidenceVariable ExampleScenario GraphDefinition"
        " ImplementationGuide Library Measure MessageDefinition NamingSystem ObservationDefinition"
        " OperationDefinition PlanDefinition Questionnaire ResearchDefinition ResearchElementDefinition"
        " RiskEvidenceSynthesis SearchParameter SpecimenDefinition StructureDefinition StructureMap"
        " TerminologyCapabilities TestReport TestScript ValueSet"
    ),
    "identity": "Patient Person RelatedPerson",
    "record": (
        "AdverseEvent AllergyIntolerance Basic Binary BodyStructure CarePlan CareTeam ClinicalImpression Composition"
        " Condition DetectedIssue DeviceUseStatement DocumentManifest DocumentReference Encounter EpisodeOfCare"
        " FamilyMemberHistory Flag Goal Immunization ImmunizationEvaluation ImmunizationRecommendation List"
        " MedicationAdministration MedicationDispense MedicationRequest MedicationStatement MolecularSequence"
        " NutritionOrder Observation Procedure QuestionnaireResponse RiskAssessment Specimen SupplyDelivery"
        " VisionPrescription"
    ),
    "imaging": "DiagnosticReport ImagingStudy Media",
    "work": (
        "Appointment AppointmentResponse Communication CommunicationRequest DeviceRequest GuidanceResponse"
        " RequestGroup Schedule ServiceRequest Slot SupplyRequest"
    ),
    "task": "Task",
    "consent": "Consent Contract",
    "money": (
        "Account ChargeItem Claim ClaimResponse Coverage CoverageEligibilityRequest CoverageEligibilityResponse"
        " EnrollmentRequest EnrollmentResponse ExplanationOfBenefit Invoice PaymentNotice PaymentReconciliation"
    ),
    "trail": "Provenance",
    "audit": "AuditEvent",
    "number": "MeasureReport",
    "other": (
        "Bundle Device DeviceMetric Group Linkage MessageHeader OperationOutcome"
        " Parameters ResearchStudy ResearchSubject Subscription"
    ),
}

CLASS_OF: Mapping[str, ResourceClass] = {name: code for code, names in TYPES.items() for name in names.split()}
