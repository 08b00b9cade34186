#include "transport/net/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

namespace fastserve {
namespace {

// Plain bytes that go into one record.
constexpr size_t kMaxPlain = 16384;

// The first bytes of `queue`, at most a record's worth: where they lie if that is in one piece,
// else copied to `scratch`.
ByteView NextRecord(const OutputQueue& queue, std::span<char, kMaxPlain> scratch) {
  std::array<iovec, 32> vectors;
  const size_t count = queue.Gather(vectors);
  if (vectors[0].iov_len >= kMaxPlain) {
    return {static_cast<const char*>(vectors[0].iov_base), kMaxPlain};
  }
  size_t filled = 0;
  for (size_t i = 0; i < count && filled < kMaxPlain; ++i) {
    const size_t taken = std::min(vectors[i].iov_len, kMaxPlain - filled);
    std::memcpy(scratch.data() + filled, vectors[i].iov_base, taken);
    filled += taken;
  }
  return {scratch.data(), filled};
}

}  // namespace

struct TlsStream::Callbacks {
  static TlsStream& Self(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int Read(BIO* bio, char* room, size_t size, size_t* read) {
    BIO_clear_retry_flags(bio);
    ByteView& incoming = Self(bio).incoming_;
    *read = std::min(size, incoming.size());
    if (*read == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(room, incoming.data(), *read);
    incoming.remove_prefix(*read);
    return 1;
  }

  static int Write(BIO* bio, const char* bytes, size_t size, size_t* written) {
    Self(bio).sealed_.Append({bytes, size});
    *written = size;
    return 1;
  }

  static long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* Make() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fastserve");
    BIO_meth_set_read_ex(method, &Read);
    BIO_meth_set_write_ex(method, &Write);
    BIO_meth_set_ctrl(method, &Control);
    return method;
  }
};

void TlsStream::Free::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(const TlsContext& context) : ssl_(SSL_new(context.get())) {
  static BIO_METHOD* const method = Callbacks::Make();
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);  // which owns it from now on
  SSL_set_accept_state(ssl_.get());
}

TlsStream::~TlsStream() = default;

TlsStream::Opened TlsStream::Open(ByteView sealed, std::span<char> plain) {
  assert(plain.size() >= sealed.size() + kMaxRecord);
  incoming_ = sealed;
  size_t filled = 0;
  for (;;) {
    ERR_clear_error();
    size_t bytes = 0;
    const int result =
        SSL_read_ex(ssl_.get(), plain.data() + filled, plain.size() - filled, &bytes);
    if (!established_ && SSL_is_init_finished(ssl_.get())) {
      if (!SpeaksHttp2()) return {State::kFailed, 0};
      established_ = true;
    }
    filled += bytes;
    if (result == 1) continue;
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        return {State::kOpen, filled};
      case SSL_ERROR_ZERO_RETURN:
        return {State::kEnded, filled};
      default:
        return {State::kFailed, filled};
    }
  }
}

// A client that offers protocols without HTTP/2 does not come this far, but one may offer none.
bool TlsStream::SpeaksHttp2() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return size > 0;
}

bool TlsStream::Seal(OutputQueue& plain, size_t limit) {
  std::array<char, kMaxPlain> scratch;
  while (!plain.empty() && sealed_.size() < limit) {
    const ByteView record = NextRecord(plain, scratch);
    ERR_clear_error();
    size_t written = 0;
    if (SSL_write_ex(ssl_.get(), record.data(), record.size(), &written) != 1) return false;
    plain.Consume(written);
  }
  return true;
}

void TlsStream::SealEnd() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

}  // namespace fastserve
