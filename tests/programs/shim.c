/* What LD_PRELOAD can do: the C library's socket() asks for Multipath TCP. */

#define _GNU_SOURCE
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int socket(int family, int type, int protocol) {
  int stream = (type & 0xf) == SOCK_STREAM && (family == AF_INET || family == AF_INET6);
  int mptcp = stream && (protocol == 0 || protocol == IPPROTO_TCP);
  return syscall(SYS_socket, family, type, mptcp ? 262 : protocol);
}
