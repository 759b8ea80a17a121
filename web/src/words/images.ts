// Words of the images page and the viewer.

export const IMAGES = {
  "images.find": { vi: "Tên, mã người bệnh hoặc số phiếu", en: "Name, patient ID or accession number" },
} as const;
