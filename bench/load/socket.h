#pragma once

#include <cstdint>
#include <string>

namespace fastserve::bench {

// A connected, non-blocking TCP socket without Nagle's delay. Dies when nobody listens.
int ConnectTo(const std::string& ipv4, uint16_t port);

// A blocking TCP listener on 127.0.0.1; port 0 takes a free one. Dies when the port is taken.
int ListenOnLoopback(uint16_t port);
uint16_t LocalPort(int fd);

// The next connection of a listener, non-blocking and without Nagle's delay; -1 on failure.
int AcceptFrom(int listener);

// Adds `fd` edge-triggered, for both directions, with `context` as the event's pointer.
void WatchSocket(int epoll, int fd, void* context);

}  // namespace fastserve::bench
