. /tmp/h28-n21/env.sh
O="--config_path configs/demo/mask_rcnn_hrnet_tiny.yaml --train_outputs $T/o --epoch_size 1 --coco_classes [] --num_classes 81 --num_gts 30"
t() { n=$1; shift; timeout 300 $P train.py $O --brief $n "$@" > $T/o/$n.log 2>&1; echo "$n rc $?"; grep -E "^error|Traceback|data sets:|repeat_thr|WARN" $T/o/$n.log | grep -v "command line:" | cut -c1-300 | tail -6; }
V="--val_dataset $T/d/a/validation"
t m1 --train_dataset "[$T/d/a/train,$T/d/byolo,$T/d/bvoc]" $V --copy_paste 1 --mosaic .5 --large_scale_jitter "[0.1,2]" --num_parallel_workers 2
t m2 --train_dataset "[$T/d/byolo,$T/d/bvoc]" $V --copy_paste 1
t m3 --detector faster_rcnn --train_dataset "[$T/d/byolo,$T/d/a/train]" $V --copy_paste 1 --mosaic .5 --large_scale_jitter "[0.1,2]" --random_erasing 1 --rotate90_ratio .5
t m4 --train_dataset "[$T/d/a/train,$T/d/b_lm]" $V --train_weights "[1,nan]"
t m5 --train_dataset "$T/d/a/train,$T/d/b_lm" $V
t m6 --train_dataset "[$T/d/a/train, 5]" $V
t m7 --train_dataset "[]" $V
t m8 --train_dataset "[$T/d/a/train,$T/d/a/validation]" $V --train_weights 100,100 --repeat_threshold 1 --epoch_size 1000000
