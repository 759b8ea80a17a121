// Words of the page "my day".

export const DAY = {
  "day.hello": { vi: "Chào {name}", en: "Hello {name}" },
  "day.requests": { vi: "Yêu cầu hội chẩn", en: "Consultation requests" },
  "day.requests.none": { vi: "Không có yêu cầu nào đang chờ", en: "No request is waiting" },
  "day.requests.none.why": {
    vi: "Yêu cầu mới sẽ tự hiện ở đây.",
    en: "A new request appears here by itself.",
  },
  "day.appointments": { vi: "Lịch hôm nay", en: "Today's appointments" },
  "day.appointments.none": { vi: "Hôm nay không có lịch hẹn", en: "No appointment today" },
  "day.appointments.none.why": {
    vi: "Lịch hẹn có khi điều phối viên đặt lịch cho yêu cầu.",
    en: "They appear when the coordinator books a request.",
  },
  "day.now": { vi: "Đang diễn ra", en: "Going on now" },
  "day.now.none": { vi: "Chưa có phiên nào đang diễn ra", en: "No session is going on" },
  "day.now.none.why": {
    vi: "Phiên hội chẩn hiện ở đây khi phòng mở.",
    en: "A session appears here when its room opens.",
  },
  "day.reports": { vi: "Kết luận mới", en: "New conclusions" },
  "day.reports.none": { vi: "Chưa có kết luận mới", en: "No new conclusion" },
  "day.reports.none.why": {
    vi: "Kết luận đã ký của tuyến trên hiện ở đây.",
    en: "Conclusions signed by the hub appear here.",
  },
  "day.patient": { vi: "Người bệnh", en: "Patient" },
  "day.from": { vi: "Nơi gửi", en: "From" },
  "day.question": { vi: "Nội dung", en: "What" },
  "day.status": { vi: "Tình trạng", en: "Status" },
  "day.sent": { vi: "Gửi lúc", en: "Sent" },
  "day.when": { vi: "Giờ", en: "Time" },
  "day.new": { vi: "{count} yêu cầu mới", en: "{count} new requests" },
} as const;
