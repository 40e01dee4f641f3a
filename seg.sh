. /tmp/h28-n21/env.sh
s() { n=$1; shift; timeout 200 $P train.py --train_outputs $T/o --epoch_size 2 --brief $n "$@" > $T/o/$n.log 2>&1; echo "$n rc $?"; grep -E "^error|Traceback|Best" $T/o/$n.log | cut -c1-300| tail -2; }
S="--config_path configs/demo/hrnet_seg_cityscapes_shapes.yaml --train_dataset $T/d/cs --val_dataset $T/d/cs --batch_size 2"
A="--color_jitter 1 --photometric_distortion 1 --random_erasing .9 --vertical_flip_ratio .5 --rotate90_ratio .8 --scale_range [0.1,3] --base_size 97"
s s1 $S $A --num_parallel_workers 2
s s2 $S $A --num_parallel_workers 2 --python_multiprocessing 1
cmp $T/o/*_s1/losses.csv $T/o/*_s2/losses.csv && echo same
s s3 $S --scale_range "[3,0.1]"
s s4 $S --mosaic 1
s s5 $S --train_weights 2
s s6 $S --train_dataset "[$T/d/cs,$T/d/a/train]"
s l1 --config_path configs/demo/hrnet_seg_lip_shapes.yaml --train_dataset $T/d/lip --val_dataset $T/d/lip $A --batch_size 2 --flip_ratio 1
