"""Counters of a host, named as Linux names its own in `/proc/net/netstat` and `/proc/net/snmp`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Counters:
    """How often each thing happened.  Add with `counters.in_segs += 1`; nothing is locked."""

    mp_capable_syn_rx: int = 0
    mp_capable_syn_tx: int = 0
    mp_capable_syn_ack_rx: int = 0
    mp_capable_ack_rx: int = 0
    mp_capable_fallback_ack: int = 0
    mp_capable_fallback_syn_ack: int = 0
    mp_capable_syn_tx_drop: int = 0
    mp_capable_syn_tx_disabled: int = 0
    mp_capable_endp_attempt: int = 0
    mp_fallback_token_init: int = 0
    mptcp_retrans: int = 0
    mp_join_no_token_found: int = 0
    mp_join_syn_rx: int = 0
    mp_join_syn_backup_rx: int = 0
    mp_join_syn_ack_rx: int = 0
    mp_join_syn_ack_backup_rx: int = 0
    mp_join_syn_ack_hmac_failure: int = 0
    mp_join_ack_rx: int = 0
    mp_join_ack_hmac_failure: int = 0
    mp_join_rejected: int = 0
    mp_join_syn_tx: int = 0
    mp_join_syn_tx_creat_sk_err: int = 0
    mp_join_syn_tx_bind_err: int = 0
    mp_join_syn_tx_connect_err: int = 0
    dss_not_matching: int = 0
    dss_corruption_fallback: int = 0
    dss_corruption_reset: int = 0
    infinite_map_tx: int = 0
    infinite_map_rx: int = 0
    dss_no_match_tcp: int = 0
    data_csum_err: int = 0
    ofo_queue_tail: int = 0
    ofo_queue: int = 0
    ofo_merge: int = 0
    no_dss_in_window: int = 0
    duplicate_data: int = 0
    add_addr: int = 0
    add_addr_tx: int = 0
    add_addr_tx_drop: int = 0
    echo_add: int = 0
    echo_add_tx: int = 0
    echo_add_tx_drop: int = 0
    port_add: int = 0
    add_addr_drop: int = 0
    mp_join_port_syn_rx: int = 0
    mp_join_port_syn_ack_rx: int = 0
    mp_join_port_ack_rx: int = 0
    mismatch_port_syn_rx: int = 0
    mismatch_port_ack_rx: int = 0
    rm_addr: int = 0
    rm_addr_drop: int = 0
    rm_addr_tx: int = 0
    rm_addr_tx_drop: int = 0
    rm_subflow: int = 0
    mp_prio_tx: int = 0
    mp_prio_rx: int = 0
    mp_fail_tx: int = 0
    mp_fail_rx: int = 0
    mp_fastclose_tx: int = 0
    mp_fastclose_rx: int = 0
    mp_rst_tx: int = 0
    mp_rst_rx: int = 0
    subflow_stale: int = 0
    subflow_recover: int = 0
    snd_wnd_shared: int = 0
    rcv_wnd_shared: int = 0
    rcv_wnd_conflict_update: int = 0
    rcv_wnd_conflict: int = 0
    mp_curr_estab: int = 0
    blackhole: int = 0
    mp_capable_data_fallback: int = 0
    md5_sig_fallback: int = 0
    dss_fallback: int = 0
    simult_connect_fallback: int = 0
    fallback_failed: int = 0
    win_probe: int = 0
    active_opens: int = 0
    passive_opens: int = 0
    attempt_fails: int = 0
    estab_resets: int = 0
    curr_estab: int = 0
    in_segs: int = 0
    out_segs: int = 0
    retrans_segs: int = 0
    out_rsts: int = 0
    in_csum_errors: int = 0
    syncookies_sent: int = 0
    syncookies_recv: int = 0
    syncookies_failed: int = 0
    out_of_window_icmps: int = 0
    listen_overflows: int = 0
    listen_drops: int = 0
    paws_estab: int = 0
    delayed_acks: int = 0
    tw: int = 0
    tw_recycled: int = 0
    tcp_reno_recovery: int = 0
    tcp_sack_recovery: int = 0
    tcp_fast_retrans: int = 0
    tcp_slow_start_retrans: int = 0
    tcp_timeouts: int = 0
    tcp_spurious_rtos: int = 0
    tcp_loss_probes: int = 0
    tcp_loss_probe_recovery: int = 0
    tcp_dsack_old_sent: int = 0
    tcp_dsack_ofo_sent: int = 0
    tcp_dsack_recv: int = 0
    tcp_abort_on_data: int = 0
    tcp_abort_on_timeout: int = 0
    tcp_time_wait_overflow: int = 0
    tcp_req_q_full_do_cookies: int = 0
    tcp_req_q_full_drop: int = 0
    tcp_ofo_queue: int = 0
    tcp_challenge_ack: int = 0
    tcp_syn_challenge: int = 0
    tcp_fast_open_active: int = 0
    tcp_fast_open_active_fail: int = 0
    tcp_fast_open_passive: int = 0
    tcp_fast_open_passive_fail: int = 0
    tcp_fast_open_listen_overflow: int = 0
    tcp_fast_open_cookie_reqd: int = 0
    tcp_fast_open_blackhole: int = 0
    tcp_syn_retrans: int = 0
    tcp_win_probe: int = 0
    tcp_keep_alive: int = 0
    tcp_mtup_fail: int = 0
    tcp_mtup_success: int = 0
    tcp_zero_window_drop: int = 0

    def snapshot(self) -> dict[str, int]:
        """Return every counter under Linux's spelling, in Linux's order."""
        return {spelling: getattr(self, name) for name, spelling in LINUX_NAMES.items()}


LINUX_NAMES: Final[dict[str, str]] = {
    "mp_capable_syn_rx": "MPCapableSYNRX",
    "mp_capable_syn_tx": "MPCapableSYNTX",
    "mp_capable_syn_ack_rx": "MPCapableSYNACKRX",
    "mp_capable_ack_rx": "MPCapableACKRX",
    "mp_capable_fallback_ack": "MPCapableFallbackACK",
    "mp_capable_fallback_syn_ack": "MPCapableFallbackSYNACK",
    "mp_capable_syn_tx_drop": "MPCapableSYNTXDrop",
    "mp_capable_syn_tx_disabled": "MPCapableSYNTXDisabled",
    "mp_capable_endp_attempt": "MPCapableEndpAttempt",
    "mp_fallback_token_init": "MPFallbackTokenInit",
    "mptcp_retrans": "MPTCPRetrans",
    "mp_join_no_token_found": "MPJoinNoTokenFound",
    "mp_join_syn_rx": "MPJoinSynRx",
    "mp_join_syn_backup_rx": "MPJoinSynBackupRx",
    "mp_join_syn_ack_rx": "MPJoinSynAckRx",
    "mp_join_syn_ack_backup_rx": "MPJoinSynAckBackupRx",
    "mp_join_syn_ack_hmac_failure": "MPJoinSynAckHMacFailure",
    "mp_join_ack_rx": "MPJoinAckRx",
    "mp_join_ack_hmac_failure": "MPJoinAckHMacFailure",
    "mp_join_rejected": "MPJoinRejected",
    "mp_join_syn_tx": "MPJoinSynTx",
    "mp_join_syn_tx_creat_sk_err": "MPJoinSynTxCreatSkErr",
    "mp_join_syn_tx_bind_err": "MPJoinSynTxBindErr",
    "mp_join_syn_tx_connect_err": "MPJoinSynTxConnectErr",
    "dss_not_matching": "DSSNotMatching",
    "dss_corruption_fallback": "DSSCorruptionFallback",
    "dss_corruption_reset": "DSSCorruptionReset",
    "infinite_map_tx": "InfiniteMapTx",
    "infinite_map_rx": "InfiniteMapRx",
    "dss_no_match_tcp": "DSSNoMatchTCP",
    "data_csum_err": "DataCsumErr",
    "ofo_queue_tail": "OFOQueueTail",
    "ofo_queue": "OFOQueue",
    "ofo_merge": "OFOMerge",
    "no_dss_in_window": "NoDSSInWindow",
    "duplicate_data": "DuplicateData",
    "add_addr": "AddAddr",
    "add_addr_tx": "AddAddrTx",
    "add_addr_tx_drop": "AddAddrTxDrop",
    "echo_add": "EchoAdd",
    "echo_add_tx": "EchoAddTx",
    "echo_add_tx_drop": "EchoAddTxDrop",
    "port_add": "PortAdd",
    "add_addr_drop": "AddAddrDrop",
    "mp_join_port_syn_rx": "MPJoinPortSynRx",
    "mp_join_port_syn_ack_rx": "MPJoinPortSynAckRx",
    "mp_join_port_ack_rx": "MPJoinPortAckRx",
    "mismatch_port_syn_rx": "MismatchPortSynRx",
    "mismatch_port_ack_rx": "MismatchPortAckRx",
    "rm_addr": "RmAddr",
    "rm_addr_drop": "RmAddrDrop",
    "rm_addr_tx": "RmAddrTx",
    "rm_addr_tx_drop": "RmAddrTxDrop",
    "rm_subflow": "RmSubflow",
    "mp_prio_tx": "MPPrioTx",
    "mp_prio_rx": "MPPrioRx",
    "mp_fail_tx": "MPFailTx",
    "mp_fail_rx": "MPFailRx",
    "mp_fastclose_tx": "MPFastcloseTx",
    "mp_fastclose_rx": "MPFastcloseRx",
    "mp_rst_tx": "MPRstTx",
    "mp_rst_rx": "MPRstRx",
    "subflow_stale": "SubflowStale",
    "subflow_recover": "SubflowRecover",
    "snd_wnd_shared": "SndWndShared",
    "rcv_wnd_shared": "RcvWndShared",
    "rcv_wnd_conflict_update": "RcvWndConflictUpdate",
    "rcv_wnd_conflict": "RcvWndConflict",
    "mp_curr_estab": "MPCurrEstab",
    "blackhole": "Blackhole",
    "mp_capable_data_fallback": "MPCapableDataFallback",
    "md5_sig_fallback": "MD5SigFallback",
    "dss_fallback": "DssFallback",
    "simult_connect_fallback": "SimultConnectFallback",
    "fallback_failed": "FallbackFailed",
    "win_probe": "WinProbe",
    "active_opens": "ActiveOpens",
    "passive_opens": "PassiveOpens",
    "attempt_fails": "AttemptFails",
    "estab_resets": "EstabResets",
    "curr_estab": "CurrEstab",
    "in_segs": "InSegs",
    "out_segs": "OutSegs",
    "retrans_segs": "RetransSegs",
    "out_rsts": "OutRsts",
    "in_csum_errors": "InCsumErrors",
    "syncookies_sent": "SyncookiesSent",
    "syncookies_recv": "SyncookiesRecv",
    "syncookies_failed": "SyncookiesFailed",
    "out_of_window_icmps": "OutOfWindowIcmps",
    "listen_overflows": "ListenOverflows",
    "listen_drops": "ListenDrops",
    "paws_estab": "PAWSEstab",
    "delayed_acks": "DelayedACKs",
    "tw": "TW",
    "tw_recycled": "TWRecycled",
    "tcp_reno_recovery": "TCPRenoRecovery",
    "tcp_sack_recovery": "TCPSackRecovery",
    "tcp_fast_retrans": "TCPFastRetrans",
    "tcp_slow_start_retrans": "TCPSlowStartRetrans",
    "tcp_timeouts": "TCPTimeouts",
    "tcp_spurious_rtos": "TCPSpuriousRTOs",
    "tcp_loss_probes": "TCPLossProbes",
    "tcp_loss_probe_recovery": "TCPLossProbeRecovery",
    "tcp_dsack_old_sent": "TCPDSACKOldSent",
    "tcp_dsack_ofo_sent": "TCPDSACKOfoSent",
    "tcp_dsack_recv": "TCPDSACKRecv",
    "tcp_abort_on_data": "TCPAbortOnData",
    "tcp_abort_on_timeout": "TCPAbortOnTimeout",
    "tcp_time_wait_overflow": "TCPTimeWaitOverflow",
    "tcp_req_q_full_do_cookies": "TCPReqQFullDoCookies",
    "tcp_req_q_full_drop": "TCPReqQFullDrop",
    "tcp_ofo_queue": "TCPOFOQueue",
    "tcp_challenge_ack": "TCPChallengeACK",
    "tcp_syn_challenge": "TCPSYNChallenge",
    "tcp_fast_open_active": "TCPFastOpenActive",
    "tcp_fast_open_active_fail": "TCPFastOpenActiveFail",
    "tcp_fast_open_passive": "TCPFastOpenPassive",
    "tcp_fast_open_passive_fail": "TCPFastOpenPassiveFail",
    "tcp_fast_open_listen_overflow": "TCPFastOpenListenOverflow",
    "tcp_fast_open_cookie_reqd": "TCPFastOpenCookieReqd",
    "tcp_fast_open_blackhole": "TCPFastOpenBlackhole",
    "tcp_syn_retrans": "TCPSynRetrans",
    "tcp_win_probe": "TCPWinProbe",
    "tcp_keep_alive": "TCPKeepAlive",
    "tcp_mtup_fail": "TCPMTUPFail",
    "tcp_mtup_success": "TCPMTUPSuccess",
    "tcp_zero_window_drop": "TCPZeroWindowDrop",
}
"""Linux's spelling by attribute: MPTcpExt first, then Tcp, then the part of TcpExt kept here."""
