#pragma once

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fastserve {

// HTTP/2 frames for tests, written and read by hand and not by the code under test.

using Fields = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  int32_t stream_id = 0;
  std::string payload;
  friend bool operator==(const Frame&, const Frame&) = default;
};

// `size` bytes, big-endian.
inline std::string BigEndian(uint64_t value, int size) {
  std::string bytes;
  while (size-- > 0) bytes += static_cast<char>(value >> (8 * size));
  return bytes;
}

inline uint64_t FromBigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

inline std::string FrameHeader(size_t length, uint8_t type, uint8_t flags, int32_t stream_id) {
  return BigEndian(length, 3) + BigEndian(type, 1) + BigEndian(flags, 1) +
         BigEndian(static_cast<uint32_t>(stream_id), 4);
}

inline std::string Encode(const Frame& frame) {
  return FrameHeader(frame.payload.size(), frame.type, frame.flags, frame.stream_id) +
         frame.payload;
}

inline std::string SettingsFrame(const std::vector<std::pair<uint16_t, uint32_t>>& settings = {}) {
  std::string payload;
  for (const auto& [id, value] : settings) payload += BigEndian(id, 2) + BigEndian(value, 4);
  return Encode({NGHTTP2_SETTINGS, 0, 0, payload});
}
inline std::string SettingsAck() { return Encode({NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, ""}); }

// A header block of literals, without an index and without Huffman codes.
// REQUIRES: every name and value is shorter than 127 bytes
inline std::string HeaderBlock(const Fields& fields) {
  std::string block;
  for (const auto& [name, value] : fields) {
    block += '\0' + BigEndian(name.size(), 1) + name + BigEndian(value.size(), 1) + value;
  }
  return block;
}

inline std::string HeadersFrame(int32_t stream_id, const Fields& fields, bool end) {
  const int flags = NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0);
  return Encode({NGHTTP2_HEADERS, static_cast<uint8_t>(flags), stream_id, HeaderBlock(fields)});
}

inline std::string DataFrame(int32_t stream_id, std::string_view bytes, bool end) {
  const uint8_t flags = end ? NGHTTP2_FLAG_END_STREAM : 0;
  return Encode({NGHTTP2_DATA, flags, stream_id, std::string(bytes)});
}

inline std::string ResetFrame(int32_t stream_id, uint32_t error_code) {
  return Encode({NGHTTP2_RST_STREAM, 0, stream_id, BigEndian(error_code, 4)});
}

inline std::string WindowUpdateFrame(int32_t stream_id, uint32_t increment) {
  return Encode({NGHTTP2_WINDOW_UPDATE, 0, stream_id, BigEndian(increment, 4)});
}

inline std::string PingFrame(std::string_view payload = "12345678") {
  return Encode({NGHTTP2_PING, 0, 0, std::string(payload)});
}

inline std::string GoawayFrame(int32_t last_stream_id, uint32_t error_code) {
  return Encode({NGHTTP2_GOAWAY, 0, 0,
                 BigEndian(static_cast<uint32_t>(last_stream_id), 4) + BigEndian(error_code, 4)});
}

// REQUIRES: `bytes` are whole frames
inline std::vector<Frame> DecodeFrames(std::string_view bytes) {
  constexpr size_t kHeader = 9;
  std::vector<Frame> frames;
  while (bytes.size() >= kHeader) {
    const size_t length = FromBigEndian(bytes.substr(0, 3));
    if (bytes.size() < kHeader + length) break;
    frames.push_back({static_cast<uint8_t>(bytes[3]), static_cast<uint8_t>(bytes[4]),
                      static_cast<int32_t>(FromBigEndian(bytes.substr(5, 4))),
                      std::string(bytes.substr(kHeader, length))});
    bytes.remove_prefix(kHeader + length);
  }
  EXPECT_TRUE(bytes.empty()) << "a frame is cut off";
  return frames;
}

inline std::vector<Frame> OfType(const std::vector<Frame>& frames, uint8_t type) {
  std::vector<Frame> found;
  for (const Frame& frame : frames) {
    if (frame.type == type) found.push_back(frame);
  }
  return found;
}

// "type:stream" for each, with the length of DATA: the order of frames at a glance.
inline std::vector<std::string> Outline(const std::vector<Frame>& frames) {
  constexpr const char* kNames[] = {"DATA",    "HEADERS", "PRIORITY", "RST",    "SETTINGS",
                                    "PROMISE", "PING",    "GOAWAY",   "WINDOW", "CONTINUATION"};
  std::vector<std::string> lines;
  for (const Frame& frame : frames) {
    std::string line = std::string(kNames[frame.type]) + " " + std::to_string(frame.stream_id);
    if (frame.type == NGHTTP2_DATA) line += " " + std::to_string(frame.payload.size());
    if (frame.type <= NGHTTP2_HEADERS && (frame.flags & NGHTTP2_FLAG_END_STREAM)) line += " end";
    lines.push_back(std::move(line));
  }
  return lines;
}

// Reads the header blocks of one connection, in order.
class HeaderReader {
 public:
  HeaderReader() { nghttp2_hd_inflate_new(&inflater_); }
  ~HeaderReader() { nghttp2_hd_inflate_del(inflater_); }
  HeaderReader(const HeaderReader&) = delete;
  HeaderReader& operator=(const HeaderReader&) = delete;

  Fields Read(std::string_view block) {
    Fields fields;
    for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
      nghttp2_nv field;
      const ssize_t taken =
          nghttp2_hd_inflate_hd2(inflater_, &field, &flags,
                                 reinterpret_cast<const uint8_t*>(block.data()), block.size(), 1);
      if (taken < 0) {
        ADD_FAILURE() << nghttp2_strerror(static_cast<int>(taken));
        return fields;
      }
      block.remove_prefix(static_cast<size_t>(taken));
      if (flags & NGHTTP2_HD_INFLATE_EMIT) {
        fields.emplace_back(std::string(reinterpret_cast<char*>(field.name), field.namelen),
                            std::string(reinterpret_cast<char*>(field.value), field.valuelen));
      }
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    return fields;
  }

 private:
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace fastserve
