// Words of the search console.

export const CONSOLE = {
  "console.lead": {
    vi: "Thử một địa chỉ FHIR, xem câu hỏi và câu trả lời, chép lại.",
    en: "Try a FHIR address, see the request and the answer, copy it.",
  },
  "console.address": { vi: "Địa chỉ dưới /fhir", en: "Address below /fhir" },
  "console.run": { vi: "Gửi", en: "Send" },
  "console.explain": { vi: "Giải thích", en: "Explain" },
  "console.next": { vi: "Trang sau", en: "Next page" },
  "console.examples": { vi: "Ví dụ", en: "Examples" },
  "console.answer": { vi: "Câu trả lời", en: "Answer" },
  "console.none": { vi: "Chưa có câu trả lời", en: "No answer yet" },
  "console.none.why": {
    vi: "Chọn một ví dụ hoặc gõ địa chỉ rồi nhấn Gửi.",
    en: "Choose an example or type an address, then Send.",
  },
  "console.entries": { vi: "{count} mục, {ms} ms", en: "{count} entries, {ms} ms" },
  "console.of": { vi: "{count} trong {total} mục, {ms} ms", en: "{count} of {total} entries, {ms} ms" },
  "console.curl": { vi: "Chép lệnh curl", en: "Copy as curl" },
  "console.check": { vi: "Kiểm tra tài nguyên", en: "Check a resource" },
  "console.check.field": { vi: "Dán một tài nguyên FHIR, JSON hoặc XML", en: "Paste a FHIR resource, JSON or XML" },
  "console.check.run": { vi: "Kiểm tra", en: "Check" },
  "console.check.good": { vi: "Hợp lệ: không có lỗi.", en: "Valid: no errors." },
  "console.check.bad": { vi: "{count} lỗi", en: "{count} errors" },
  "console.profile": { vi: "Hồ sơ áp dụng (profile), nếu có", en: "Profile to apply, if any" },
  "severity.fatal": { vi: "Lỗi nghiêm trọng", en: "Fatal" },
  "severity.error": { vi: "Lỗi", en: "Error" },
  "severity.warning": { vi: "Cảnh báo", en: "Warning" },
  "severity.information": { vi: "Thông tin", en: "Information" },
} as const;
